'use client';
import { PageSkeleton } from '@/ui/PageSkeleton';
export function NodesView() { return <PageSkeleton title="NodesView" />; }
