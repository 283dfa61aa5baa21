import { Suspense } from 'react';
import { OverviewSkeleton, OverviewView } from '@/views/OverviewView';

export default function Page() {
  return (
    <Suspense fallback={<OverviewSkeleton />}>
      <OverviewView />
    </Suspense>
  );
}
