'use client';
import { PageSkeleton } from '@/ui/PageSkeleton';
export function CarbonView() { return <PageSkeleton title="CarbonView" />; }
