'use client';
import { PageSkeleton } from '@/ui/PageSkeleton';
export function JobsView() { return <PageSkeleton title="JobsView" />; }
