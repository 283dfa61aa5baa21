/** What to look at for each kind of alert, and the commands that help. Short on purpose: a person reads it at night. */
export interface Runbook { means: string; steps: readonly string[]; commands: (at: { gpuId: string | null; node: string | null; number: number | null }) => readonly string[] }

const gpuCommands: Runbook['commands'] = ({ gpuId, node }) => [...(gpuId ? [`aether quarantine ${gpuId} --reason "…"`] : []), ...(node ? [`aether drain ${node} --reason "…"`] : []), 'aether events'];

const books: Record<string, Runbook> = {
  temperature: { means: 'The GPU is close to the temperature at which it slows down.', steps: ['Look at its neighbours on the node: if all are hot, it is the room or the fans.', 'If it is alone, compare power and clocks with its peers.', 'Quarantine it if it keeps rising; running jobs go on.'], commands: gpuCommands },
  throttling: { means: 'Heat or a power brake costs this GPU speed now. A job over several GPUs waits for it.', steps: ['Compare its clock with the peers of the same job.', 'Check the slowdown reasons on its page: thermal means cooling, power brake means the supply.', 'Take it out of service before the next large job starts.'], commands: gpuCommands },
  slow: { means: 'It does less than GPUs of the same kind under the same load.', steps: ['Compare it with its peers.', 'A lower clock at the same load points to power or heat, the same clock to the link or the job itself.'], commands: gpuCommands },
  ecc: { means: 'The memory reported errors that could not be corrected.', steps: ['A job that was running there may have computed with wrong data: check its result.', 'Quarantine the GPU, reset it when it is empty, and watch whether it comes back.'], commands: gpuCommands },
  xid: { means: 'The driver reported a fault by its Xid number.', steps: ['13, 31 and 43 come mostly from the job itself.', '48, 63, 64 and 94 are memory: quarantine and reset.', '79 means the GPU fell off the bus: drain the node and power-cycle it.'], commands: gpuCommands },
  gpu_lost: { means: 'The driver no longer sees this GPU.', steps: ['Drain the node: a reset rarely brings a lost GPU back.', 'After the running jobs have ended, power-cycle the node.', 'If it is lost again, have the seat or the board replaced.'], commands: gpuCommands },
  idle: { means: 'A job holds this GPU and hardly uses it.', steps: ['Look at the log of the job: it may wait for data or be done without ending.', 'Ask its owner, or cancel it while others wait.'], commands: ({ number }) => (number === null ? ['aether queue'] : [`aether logs ${number}`, `aether cancel ${number}`]) },
  memory: { means: 'The memory is almost full, or more is in use than was reserved.', steps: ['A job that grows further will end with out of memory.', 'Processes that Aether did not start show on the GPU’s page.'], commands: ({ number }) => (number === null ? ['aether gpus -o wide'] : [`aether show ${number}`, 'aether gpus -o wide']) },
  no_data: { means: 'No reading has come for a while. The GPU may be fine.', steps: ['Is the node seen? If not, look at the agent and the network first.', 'If only this GPU is silent, look at the driver’s log on the node.'], commands: ({ node }) => ['aether nodes', ...(node ? [`aether drain ${node} --reason "no readings"`] : [])] },
};

export const runbookOf = (kind: string): Runbook | null => books[kind] ?? null;
