export type LogLevel =
  | 'trace'
  | 'debug'
  | 'information'
  | 'warning'
  | 'error'
  | 'critical'
  | 'none';

export type Log = (level: LogLevel, message: string, about?: { category?: string }) => void;

const order: LogLevel[] = ['trace', 'debug', 'information', 'warning', 'error', 'critical', 'none'];

/** Lines on standard output: time, level, text. `minimum` is host.json's default log level. */
export function createLog(minimum: LogLevel, write = (line: string) => process.stdout.write(line)) {
  const log: Log = (level, message, { category } = {}) => {
    // What the worker says of itself (deferred bindings, proxies) helps only who debugs the host.
    if (category === 'system' && level === 'information') return;
    if (order.indexOf(level) < order.indexOf(minimum)) return;
    const time = new Date().toISOString().slice(11, 23);
    write(`${time} ${level === 'information' ? 'info' : level}  ${message}\n`);
  };
  return log;
}

export const describe = (error: unknown) =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);

/** A call of a function that failed; when its worker ended, that was told once for all its calls. */
export function reportFailure(log: Log, name: string, error: unknown): void {
  const level = error instanceof Error && error.name === 'WorkerEndedError' ? 'debug' : 'error';
  log(level, `${name}: ${describe(error)}`);
}
