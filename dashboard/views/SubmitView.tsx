'use client';
import { PageSkeleton } from '@/ui/PageSkeleton';
export function SubmitView() { return <PageSkeleton title="SubmitView" />; }
