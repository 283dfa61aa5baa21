'use client';
import type { ApiError } from '@/api/client';
import { EntityLink } from './navigation';
import { Problem } from './parts';

/** The same words whether the thing does not exist or may not be seen. */
export function Unknown({ what, id, error, listHref, onRetry }: { what: string; id: string; error: ApiError; listHref: string; onRetry: () => void }) {
  return (
    <main id="main" tabIndex={-1} className="page">
      {error.status === 404 || error.status === 403 || error.status === 400 ? <><h1>No {what} {id}</h1><p className="lead">It may have been removed, or the number is mistyped. <EntityLink className="link" href={listHref}>Show the list</EntityLink></p></>
        : <><h1>{what.charAt(0).toUpperCase() + what.slice(1)} {id}</h1><Problem error={error} onRetry={onRetry} /></>}
    </main>
  );
}
