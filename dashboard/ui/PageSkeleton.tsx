import { Skeleton, SkeletonRows } from './parts';

export function PageSkeleton({ title }: { title: string }) {
  return (
    <main id="main" className="page" tabIndex={-1}>
      <h1>{title}</h1>
      <div className="panel"><div className="ph"><Skeleton className="sk-title" /></div><SkeletonRows rows={8} label={`Loading ${title}`} /></div>
    </main>
  );
}
