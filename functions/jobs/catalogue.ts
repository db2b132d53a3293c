/** The job types of this app. A new one is a file beside this and a line here. */
import type { Catalogue } from 'longhaul';
import { keyedProbe, probe } from './probe.ts';
import { report } from './report.ts';
import { thumbnail } from './thumbnail.ts';

export const catalogue = [report, thumbnail, probe, keyedProbe] as const satisfies Catalogue;
