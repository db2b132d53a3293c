/** The job types of this app. A new one is a file beside this and a line here. */
import type { Catalogue } from 'longhaul';
import { greet } from './greet.ts';

export const catalogue = [greet] as const satisfies Catalogue;
