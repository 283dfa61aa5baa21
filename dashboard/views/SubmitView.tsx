'use client';
import { SubmitForm } from '@/ui/SubmitForm';

export function SubmitView() {
  return (
    <main id="main" tabIndex={-1} className="page narrow">
      <div className="page-head"><h1>Submit a job</h1></div>
      <div className="panel padded"><SubmitForm /></div>
    </main>
  );
}
