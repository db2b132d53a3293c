/** The job types of the examples, those of the app at the top among them. */
import type { Catalogue } from 'longhaul';
import { report } from '../functions/jobs/report.ts';
import { thumbnail } from '../functions/jobs/thumbnail.ts';
import { importPart, importProducts } from './import.ts';
import { lookUp } from './limited-api.ts';
import { type Bank, order } from './order.ts';
import { render } from './progress-page.ts';
import { quote } from './request-reply/answers.ts';
import { digest } from './tenants.ts';
import { thumbnails } from './thumbnails.ts';

/** What the jobs have from outside comes in here, and in a test something else. */
export const createCatalogue = ({ bank, api }: { bank: Bank; api: string }) =>
  [
    ...[order(bank), lookUp(api)],
    ...[importProducts, importPart, report, thumbnail, thumbnails, digest, quote, render],
  ] as const satisfies Catalogue;
