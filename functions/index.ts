/** The entry point that Azure Functions, `func` and the local host run. */
import { registerApp } from './app.ts';
import { catalogue } from './jobs/catalogue.ts';

registerApp(catalogue);
