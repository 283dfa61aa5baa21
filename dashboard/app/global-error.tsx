'use client';
import '@/styles/tokens.css';
import '@/styles/base.css';
import '@/styles/pages.css';

/** Shown when the page itself breaks, for example after an upgrade took a file away. One button, never a loop. */
export default function GlobalError() {
  return (
    <html lang="en" data-theme="dark">
      <body>
        <main className="page">
          <h1>This page stopped working</h1>
          <p className="lead">The server may have been upgraded while it was open. Jobs are not affected.</p>
          <button type="button" className="btn" onClick={() => location.reload()}>Reload</button>
        </main>
      </body>
    </html>
  );
}
