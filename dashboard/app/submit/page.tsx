import type { Metadata } from 'next';
import { Suspense } from 'react';
import { PageSkeleton } from '@/ui/PageSkeleton';
import { SubmitView } from '@/views/SubmitView';

export const metadata: Metadata = { title: 'Submit a job' };

export default function Page() {
  return (
    <Suspense fallback={<PageSkeleton title="Submit a job" />}>
      <SubmitView />
    </Suspense>
  );
}
