/** The entry point that Azure Functions, `func` and `longhaul start` run. */
import { registerApp } from 'longhaul';
import { catalogue } from './jobs/catalogue.ts';

registerApp(catalogue, { topology: new URL('../../topology.json', import.meta.url) });
