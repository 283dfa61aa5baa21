import type { Metadata } from 'next';
import { Suspense } from 'react';
import { PageSkeleton } from '@/ui/PageSkeleton';
import { AnomaliesView } from '@/views/AnomaliesView';

export const metadata: Metadata = { title: 'Anomalies' };

export default function Page() {
  return (
    <Suspense fallback={<PageSkeleton title="Anomalies" />}>
      <AnomaliesView />
    </Suspense>
  );
}
