/** What another app says of its lanes, its workers and its jobs. */

export interface LaneStatus {
  readonly lane: string;
  /** Counts up to a thousand, which stands for more. */
  readonly queues: readonly {
    readonly queue: string;
    readonly active: number;
    readonly scheduled: number;
    readonly deadLetters: number;
    readonly oldestAt?: string;
  }[];
  readonly workers: number;
  /** How many jobs they run at once at most. */
  readonly places: number;
}

export interface WorkerStatus {
  readonly id: string;
  readonly app: string;
  readonly version: string;
  readonly instance: string;
  readonly lanes: readonly string[];
  readonly since: string;
  readonly at: string;
  readonly places: number;
  readonly running: number;
  readonly jobs: readonly { readonly job: string; readonly type: string; readonly since: string }[];
}

/** Failed jobs with the same type, error and line. */
export interface FailureGroup {
  readonly type: string;
  readonly error: string;
  /** `file:line in function`, of the app. */
  readonly at: string;
  /** Of the newest. */
  readonly message: string;
  readonly count: number;
  readonly firstAt: string;
  readonly lastAt: string;
  /** The newest of them. */
  readonly job: string;
}

export interface Why {
  readonly state: string;
  readonly reasons: readonly { readonly code: string; readonly message: string }[];
}

/** What is to be done to many jobs. */
export interface Action {
  do: 'retry' | 'cancel' | 'delete';
  filter: {
    type?: string;
    state?: string;
    key?: string;
    parent?: string;
    schedule?: string;
    requestedBy?: string;
    /** Submitted from this time on, and before that one. */
    from?: string;
    to?: string;
    /** In the error's name or message. */
    error?: string;
  };
  /** So many a second; default 100. */
  pace?: number;
  by?: string;
  why?: string;
}
