'use client';

/** One view broke; the shell and the stream go on. */
export default function ViewError({ error }: { error: Error }) {
  return (
    <main id="main" className="page" tabIndex={-1}>
      <h1>This view stopped working</h1>
      <p className="lead">{error.message || 'A part of the page is missing.'} Jobs are not affected.</p>
      <button type="button" className="btn" onClick={() => location.reload()}>Reload</button>
    </main>
  );
}
