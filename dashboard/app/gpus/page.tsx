import type { Metadata } from 'next';
import { Suspense } from 'react';
import { PageSkeleton } from '@/ui/PageSkeleton';
import { GpusView } from '@/views/GpusView';

export const metadata: Metadata = { title: 'GPUs' };

export default function Page() {
  return (
    <Suspense fallback={<PageSkeleton title="GPUs" />}>
      <GpusView />
    </Suspense>
  );
}
