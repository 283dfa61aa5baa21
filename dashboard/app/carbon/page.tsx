import type { Metadata } from 'next';
import { Suspense } from 'react';
import { PageSkeleton } from '@/ui/PageSkeleton';
import { CarbonView } from '@/views/CarbonView';

export const metadata: Metadata = { title: 'Carbon' };

export default function Page() {
  return (
    <Suspense fallback={<PageSkeleton title="Carbon" />}>
      <CarbonView />
    </Suspense>
  );
}
