import type { Gpu } from '@/api/types';
import { stateLook } from '@/lib/gpu';
import { isFailure, jobGroup, stateWord } from '@/lib/reasons';
import { Icon } from './Icon';

export function StateTag({ gpu }: { gpu: Gpu }) {
  const look = stateLook(gpu.state);
  const glyph = look.glyph ?? (gpu.state === 'idle' ? 'idle' : null);
  return <span className={`state ${look.tone}`}>{glyph ? <Icon name={glyph} size={13} /> : null}{look.word}</span>;
}

export function JobTag({ state, flags = [] }: { state: string; flags?: readonly string[] }) {
  const group = jobGroup(state);
  const tone = isFailure(state) ? 'crit' : group === 'running' ? 'ok' : group === 'waiting' ? 'warn' : '';
  return (
    <span className="tags">
      <span className={`pill ${tone}`}>{stateWord(state)}</span>
      {flags.includes('UNREACHABLE') ? <span className="pill crit">unreachable</span> : null}
      {flags.filter((f) => f !== 'UNREACHABLE').map((f) => <span key={f} className="pill">{f.toLowerCase().replace(/_/g, ' ')}</span>)}
    </span>
  );
}
