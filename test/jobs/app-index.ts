import { type Catalogue, registerApp } from 'longhaul';
import { createMailer } from './mailer.ts';
import { readSettings } from './settings.ts';
import { welcome } from './welcome.ts';

const settings = readSettings(process.env);
const mailer = createMailer(settings.MAIL_URL, settings.MAIL_KEY);

export const catalogue = [welcome(mailer, settings.MAIL_SENDER)] as const satisfies Catalogue;

registerApp(catalogue, { topology: new URL('../../topology.json', import.meta.url) });
