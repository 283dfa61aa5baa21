'use client';
import { useEffect, useState } from 'react';
import { getJson } from '@/api/client';

/** Paths that this server has, from its own description. An action is offered only where the server knows it. */
let asked: Promise<ReadonlySet<string>> | null = null;

async function ask(): Promise<ReadonlySet<string>> {
  try {
    const document = await getJson<{ paths?: Record<string, unknown> }>('/openapi.json');
    return new Set(Object.keys(document.paths ?? {}).map((path) => path.replace(/^\/api\/v1/, '').replace(/\{[^}]*\}/g, '{}')));
  } catch {
    asked = null;
    return new Set();
  }
}

export function useRoutes(): ReadonlySet<string> {
  const [routes, setRoutes] = useState<ReadonlySet<string>>(new Set());
  useEffect(() => {
    let gone = false;
    asked ??= ask();
    void asked.then((found) => { if (!gone) setRoutes(found); });
    return () => { gone = true; };
  }, []);
  return routes;
}
