'use client';
import { usePathname, useRouter, useSearchParams } from 'next/navigation';
import { useCallback, useEffect, useLayoutEffect, useMemo, type AnchorHTMLAttributes } from 'react';
import { withQuery, type Query } from '@/lib/url';

/**
 * Pages are prefetched without their query, so moving to one needs no server; the query is put into the address after the move.
 * That keeps the last data on the screen when the server is down, where a full load would end on the browser's error page.
 */
export const pages = ['/', '/gpus', '/jobs', '/submit', '/timeline', '/anomalies', '/carbon', '/nodes', '/settings'] as const;

let waiting: { pathname: string; href: string } | null = null;

export function useNavigate(): (href: string) => void {
  const router = useRouter();
  return useCallback(
    (href: string) => {
      const url = new URL(href, location.href);
      if (url.pathname === location.pathname) {
        history.pushState(null, '', href);
        window.scrollTo(0, 0);
        return;
      }
      waiting = url.search ? { pathname: url.pathname, href } : null;
      router.push(url.pathname);
    },
    [router],
  );
}

/** Mounted once by the shell: prefetches the pages and completes addresses. */
export function useNavigationSetup(): void {
  const router = useRouter();
  const pathname = usePathname();
  useEffect(() => {
    for (const page of pages) router.prefetch(page);
  }, [router]);
  useLayoutEffect(() => {
    if (!waiting || waiting.pathname !== pathname) return;
    const { href } = waiting;
    waiting = null;
    history.replaceState(null, '', href);
  }, [pathname]);
}

/** The query of this page and a function that changes parts of it; `push` leaves an entry for the back button. */
export function useUrlQuery(): { get: (key: string) => string | null; change: (query: Query, how?: 'push' | 'replace') => void } {
  const params = useSearchParams();
  return useMemo(
    () => ({
      get: (key) => {
        const held = waiting && typeof location !== 'undefined' && waiting.pathname === location.pathname ? new URL(waiting.href, location.href).searchParams : params;
        return held.get(key);
      },
      change: (query, how = 'replace') => {
        const href = withQuery(location.pathname, location.search, query);
        if (how === 'push') history.pushState(null, '', href);
        else history.replaceState(null, '', href);
      },
    }),
    [params],
  );
}

type LinkProps = AnchorHTMLAttributes<HTMLAnchorElement> & { href: string };

/** A real link (new tab, copy address) that moves inside the page on a plain click. */
export function EntityLink({ href, onClick, children, ...rest }: LinkProps) {
  const navigate = useNavigate();
  return (
    <a
      href={href}
      {...rest}
      onClick={(event) => {
        onClick?.(event);
        if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        navigate(href);
      }}
    >
      {children}
    </a>
  );
}
