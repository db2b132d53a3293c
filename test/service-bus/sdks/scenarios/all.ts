/** The one list, for every language. */
import type { Scenario } from '../steps.ts';
import { entities } from './entities.ts';
import { messages } from './messages.ts';
import { restarts } from './restarts.ts';
import { sessions } from './sessions.ts';

/** They share nothing, so that they may run side by side. */
export const sideBySide: Scenario[] = [...messages, ...sessions, ...entities];
export const alone: Scenario[] = restarts;
