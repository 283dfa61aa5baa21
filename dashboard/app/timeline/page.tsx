import type { Metadata } from 'next';
import { Suspense } from 'react';
import { PageSkeleton } from '@/ui/PageSkeleton';
import { TimelineView } from '@/views/TimelineView';

export const metadata: Metadata = { title: 'Timeline' };

export default function Page() {
  return (
    <Suspense fallback={<PageSkeleton title="Timeline" />}>
      <TimelineView />
    </Suspense>
  );
}
