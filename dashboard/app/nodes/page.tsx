import type { Metadata } from 'next';
import { Suspense } from 'react';
import { PageSkeleton } from '@/ui/PageSkeleton';
import { NodesView } from '@/views/NodesView';

export const metadata: Metadata = { title: 'Nodes' };

export default function Page() {
  return (
    <Suspense fallback={<PageSkeleton title="Nodes" />}>
      <NodesView />
    </Suspense>
  );
}
