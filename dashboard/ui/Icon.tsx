import type { GlyphName } from '@/lib/gpu';

/** Glyphs differ in shape, not only in colour. All are decoration; the words beside them carry the meaning. */
export type IconName = GlyphName | 'yes' | 'no' | 'na' | 'moon' | 'sun' | 'find' | 'close' | 'menu' | 'copy' | 'gear' | 'pin';

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg className={`icon icon-${name}`} width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      {shape(name)}
    </svg>
  );
}

function shape(name: IconName) {
  const round = { fill: 'none', stroke: 'currentColor', strokeLinecap: 'round', strokeLinejoin: 'round' } as const;
  switch (name) {
    case 'crit': return <><path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" fill="currentColor" /><path d="m5.6 5.6 4.8 4.8m0-4.8-4.8 4.8" className="cut" strokeWidth="1.7" strokeLinecap="round" /></>;
    case 'warn': return <><path d="M8 1.2 15.4 14.6H.6Z" fill="currentColor" stroke="currentColor" strokeLinejoin="round" /><path d="M8 6v4M8 12.1v.4" className="cut" strokeWidth="1.7" strokeLinecap="round" /></>;
    case 'info': return <><path d="M8 .8 15.2 8 8 15.2.8 8z" fill="currentColor" /><path d="M5.2 8h5.6" className="cut" strokeWidth="1.8" strokeLinecap="round" /></>;
    case 'idle': return <><circle cx="8" cy="8" r="7" {...round} strokeWidth="1.8" /><path d="M6.3 5.4v5.2m3.4-5.2v5.2" {...round} strokeWidth="1.8" /></>;
    case 'lock': return <><rect x="3" y="7" width="10" height="7.4" rx="1.6" fill="currentColor" /><path d="M5.2 7V5a2.8 2.8 0 0 1 5.6 0v2" {...round} strokeWidth="1.7" /></>;
    case 'dots': return <circle cx="8" cy="8" r="6.4" {...round} strokeWidth="1.8" strokeDasharray=".1 3.4" />;
    case 'yes': return <path d="m3 8.4 3.4 3.4L13 4.6" {...round} strokeWidth="2.1" />;
    case 'no': return <path d="m3.6 3.6 8.8 8.8m0-8.8-8.8 8.8" {...round} strokeWidth="2.3" />;
    case 'na': return <path d="M3.6 8h8.8" {...round} strokeWidth="2.1" />;
    case 'moon': return <path d="M13.2 9.6A5.7 5.7 0 0 1 6.4 2.8a5.7 5.7 0 1 0 6.8 6.8Z" {...round} strokeWidth="1.5" />;
    case 'sun': return <><circle cx="8" cy="8" r="3" {...round} strokeWidth="1.5" /><path d="M8 1.4v1.4M8 13.2v1.4M1.4 8h1.4M13.2 8h1.4M3.3 3.3l1 1M11.7 11.7l1 1M12.7 3.3l-1 1M4.3 11.7l-1 1" {...round} strokeWidth="1.5" /></>;
    case 'find': return <><circle cx="7" cy="7" r="4.6" {...round} strokeWidth="1.6" /><path d="m10.6 10.6 3.4 3.4" {...round} strokeWidth="1.6" /></>;
    case 'close': return <path d="m4 4 8 8m0-8-8 8" {...round} strokeWidth="1.6" />;
    case 'menu': return <path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11" {...round} strokeWidth="1.6" />;
    case 'gear': return <><circle cx="8" cy="8" r="2.2" {...round} strokeWidth="1.4" /><path d="M8 1.6v2M8 12.4v2M1.6 8h2M12.4 8h2M3.5 3.5l1.4 1.4M11.1 11.1l1.4 1.4M12.5 3.5l-1.4 1.4M4.9 11.1l-1.4 1.4" {...round} strokeWidth="1.6" /></>;
    case 'pin': return <path d="M6 2h4l-.6 4.2L12 8.6H4l2.6-2.4zM8 8.6V14" {...round} strokeWidth="1.4" />;
    case 'copy': return <><rect x="5.5" y="5.5" width="8" height="8" rx="1.6" {...round} strokeWidth="1.4" /><path d="M10.5 5.5v-1a2 2 0 0 0-2-2h-4a2 2 0 0 0-2 2v4a2 2 0 0 0 2 2h1" {...round} strokeWidth="1.4" /></>;
  }
}

export function Mark() {
  return (
    <svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true">
      <defs><linearGradient id="mark" x1="0" y1="1" x2="1" y2="0"><stop offset="0" stopColor="#1D6A86" /><stop offset=".55" stopColor="#4AB39B" /><stop className="mark-end" offset="1" stopColor="#D9F5A3" /></linearGradient></defs>
      <path d="M11 1.6a9.4 9.4 0 1 0 9.4 9.4" fill="none" stroke="url(#mark)" strokeWidth="2.6" strokeLinecap="round" />
      <circle cx="11" cy="11" r="3.1" fill="url(#mark)" />
    </svg>
  );
}
