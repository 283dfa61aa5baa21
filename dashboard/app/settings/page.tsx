import type { Metadata } from 'next';
import { Suspense } from 'react';
import { PageSkeleton } from '@/ui/PageSkeleton';
import { SettingsView } from '@/views/SettingsView';

export const metadata: Metadata = { title: 'Settings' };

export default function Page() {
  return (
    <Suspense fallback={<PageSkeleton title="Settings" />}>
      <SettingsView />
    </Suspense>
  );
}
