/** The objects of the HTTP API and the stream. A missing value is absent or null, never 0; units are in the names. */
export interface History { step_s: number; time: number[]; busy_pct: (number | null)[]; memory_used_mb: (number | null)[]; power_draw_w: (number | null)[]; jobs_pending: (number | null)[] }
export interface Carbon {
  zone: string; source: string; label: string; is_estimated: boolean; intensity_g_per_kwh: number | null; observed_at: string | null;
  age_s: number | null; forecast: { time: string; intensity_g_per_kwh: number }[]; kg_per_h: number | null;
}
export interface ModelRef { name: string; version: string }
export interface Fleet {
  time: string; gpus_total: number; gpus_allocated: number; gpus_free: number; gpus_out: number; gpus_idle: number; gpus_no_data: number;
  busy_pct: number | null; memory_used_mb: number | null; memory_total_mb: number | null; memory_fullest_pct: number | null;
  power_draw_w: number | null; power_limit_w: number | null; jobs_pending: number; jobs_running: number; jobs_finished_24h: number;
  next_start_eta: string | null; simulated: boolean; model: ModelRef | null; carbon: Carbon | null; history?: History;
}
export interface FleetNode {
  node: string; state: 'up' | 'stale' | 'down' | 'drained' | string; simulated: boolean; source: string; exec_mode: string; run_as: string | null;
  agent_version: string | null; driver_version: string | null; host_name: string | null; gpus: number; gpus_free: number;
  drain_reason?: string | null;
  /** Absent in the stream, where readings come as columns: see `nodeReadings`. */
  temperature_max_c?: number | null; power_draw_w?: number | null; last_seen?: string | null;
}
export interface GpuSample {
  time: string; temperature_c?: number | null; utilization_gpu?: number | null; utilization_memory_controller?: number | null;
  memory_used_mb?: number | null; power_draw_w?: number | null; clock_gpu_mhz?: number | null; clock_sm_mhz?: number | null;
  clock_mem_mhz?: number | null; performance_state?: number | string | null; throttling_reasons?: string | null; fan_speed_pct?: number | null;
  ecc_dbe_volatile_total?: number | null; xid_last?: number | null; energy_total_mj?: number | null;
}
export type GpuState = 'free' | 'busy' | 'idle' | 'throttling' | 'slow' | 'out' | 'lost' | 'quarantined' | 'no_data';
export interface Gpu {
  gpu_uuid: string; gpu_id: string; node: string; gpu_index: number; gpu_name: string; source: string; state: GpuState; state_reason: string | null;
  state_since: string | null; memory_total_mb: number | null; power_limit_w: number | null; temperature_slowdown_c: number | null;
  allocated_mb: number | null; jobs: { job_id: string; number: number; name: string }[]; sample: GpuSample | null;
}
export interface JobExit { exit_code: number | null; signal: number | string | null; core_dumped?: boolean; cause: string | null; message: string | null }
export interface Job {
  job_id: string; number: number; name: string; type: string; state: string; flags: string[]; user: string | null; queue: string | null;
  priority: number | null; gpus: number; gpu_mem_mb: number | null; share: string | null; time_limit_s: number | null; argv: string[];
  script: string | null; workdir: string | null; env_names: string[]; submitted_at: string; started_at: string | null; ended_at: string | null;
  attempt: number; attempts: number; node: string | null; gpu_uuids: string[]; gpu_ids: string[]; exit: JobExit | null;
  reason: { code: string; summary: string } | null; energy_j: number | null; carbon_g: number | null;
}
export interface Alert {
  alert_id: string; severity: 'critical' | 'warning' | 'info'; kind: string; title: string; detail: string | null; gpu_id: string | null;
  gpu_uuid: string | null; node: string | null; job_id: string | null; number: number | null; since: string; cleared_at: string | null;
  value: number | null; threshold: number | null; unit: string | null; acknowledged: boolean;
  /** Out of the inbox until then, for everybody; absent from older servers. */
  snoozed_until?: string | null;
}
export interface Version { version: string; cluster: string; mode: string; store: string; bus: string; simulated: boolean }

export interface Candidate {
  gpu_uuid: string; gpu_id: string; node: string; chosen: boolean; rejected_by: string | null; rejected_text?: string | null; score: number | null;
  terms?: { name: string; value: number | null; weight: number | null }[] | null;
  contributions?: { feature: string; value: number | null; contribution: number }[] | null;
}
export interface Placement {
  decided_at: string; cycle: number; node: string; gpu_uuids: string[]; gpu_ids: string[]; policy: 'model' | 'heuristic' | string;
  fallback_reason: string | null; model: ModelRef | null; summary: string; candidates: Candidate[];
}
export interface Check { code: string; verdict: 'pass' | 'fail' | 'na'; have: unknown; need: unknown; unit: string | null; text: string }
export interface Reason { code: string; blocking: boolean; text?: string; summary?: string; scope?: string; need?: number; best?: number; unit?: string; until?: string;
  clears_when?: { event?: string; eta?: { p50?: string; p90?: string } } }
export interface Explain {
  job: string; state: string; evaluated_at: string | null; cycle: number | null; summary: string; reasons: Reason[];
  counterfactuals?: { change: Record<string, unknown>; starts: string | null; via?: string; text?: string }[];
  queue_position?: number | null; start_eta?: { p10?: string | null; p50?: string | null; p90?: string | null; latest?: string | null; interval?: number | null; coverage_30d?: number | null } | null;
  counts?: Record<string, unknown> | null; checks?: Check[]; placement: Placement | null; model?: ModelRef | null;
}
export interface Attempt {
  attempt: number; epoch: number; state: string; node: string | null; gpu_uuids: string[]; gpu_ids: string[]; assigned_at: string; started_at: string | null;
  ended_at: string | null; exit: JobExit | null; stop_reason: string | null; energy_j: number | null; carbon_g: number | null;
}
/** Reply to `POST /jobs?dry_run=true`: what the next cycle would do. Older servers give no plan. */
export interface DryRun {
  dry_run: boolean; valid: boolean; summary: string;
  plan?: { starts_now: boolean; summary: string; placement: Placement | null; wait: Pick<Explain, 'summary' | 'reasons' | 'checks' | 'counterfactuals' | 'start_eta'> | null } | null;
}
export interface JobEvent { time: string; from: string | null; to: string; actor: string; reason: string | null; epoch: number | null; attempt: number | null }
export interface SystemEvent { cursor: string | number; time: string; kind: string; text: string; node?: string | null; gpu_uuid?: string | null; job_id?: string | null }
export interface Series { mean: (number | null)[]; min?: (number | null)[]; max?: (number | null)[] }
export interface MetricsReply { gpu_uuid: string; step_s: number; level: string; time: number[]; series: Record<string, Series> }
export interface Page<T> { items: T[]; next_page_token: string | null }

export interface ProblemBody {
  type?: string; title?: string; status?: number; detail?: string; code?: string; request_id?: string; hint?: string;
  errors?: { pointer: string; code: string; message: string }[];
}
