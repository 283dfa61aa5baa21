'use client';
import { PageSkeleton } from '@/ui/PageSkeleton';
export function GpusView() { return <PageSkeleton title="GpusView" />; }
