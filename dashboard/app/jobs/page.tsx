import type { Metadata } from 'next';
import { Suspense } from 'react';
import { PageSkeleton } from '@/ui/PageSkeleton';
import { JobsView } from '@/views/JobsView';

export const metadata: Metadata = { title: 'Jobs' };

export default function Page() {
  return (
    <Suspense fallback={<PageSkeleton title="Jobs" />}>
      <JobsView />
    </Suspense>
  );
}
