/** What an app imports. Nothing happens on import. */
export type { AppOptions } from './app.ts';
export { registerApp } from './app.ts';
export * from './define/define-job.ts';
export * from './errors.ts';
