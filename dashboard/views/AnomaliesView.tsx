'use client';
import { PageSkeleton } from '@/ui/PageSkeleton';
export function AnomaliesView() { return <PageSkeleton title="AnomaliesView" />; }
