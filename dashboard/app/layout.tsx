import type { Metadata, Viewport } from 'next';
import type { ReactNode } from 'react';
import '@/styles/fonts.css';
import '@/styles/tokens.css';
import '@/styles/base.css';
import '@/styles/shell.css';
import '@/styles/overview.css';
import 'uplot/dist/uPlot.min.css';
import '@/styles/pages.css';
import { AppProvider } from '@/ui/hooks';
import { Shell } from '@/ui/Shell';

export const metadata: Metadata = {
  title: { default: 'Overview – Aether', template: '%s – Aether' },
  description: 'GPU fleet, jobs, placement and carbon of this cluster',
  icons: { icon: '/icon.svg' },
};

export const viewport: Viewport = { width: 'device-width', initialScale: 1, colorScheme: 'dark light' };

export default function RootLayout({ children }: { children: ReactNode }) {
  return (
    <html lang="en" data-theme="dark" suppressHydrationWarning>
      <head>
        <script src="/theme.js" />
      </head>
      <body>
        <AppProvider>
          <Shell>{children}</Shell>
        </AppProvider>
      </body>
    </html>
  );
}
