import type { Metadata } from 'next';

export const metadata: Metadata = { title: 'No such page' };

export default function NotFound() {
  return (
    <main id="main" className="page" tabIndex={-1}>
      <h1>No such page</h1>
      <p className="lead">Nothing is served at this address. The <a className="link" href="/">overview</a> shows the whole fleet.</p>
    </main>
  );
}
