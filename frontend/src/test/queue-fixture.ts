// The queue as a test needs it: open and empty unless changed.
import type { Queue } from "@/types/api";

export function aQueue(change: Partial<Queue> = {}): Queue {
  return {
    paused: false,
    paused_by: null,
    paused_at: null,
    reason: null,
    active_steps: 0,
    asking_steps: 0,
    max_active_steps: 10,
    waiting: { count: 0, items: [] },
    drained: false,
    ...change,
  };
}
