/** The entry point of the examples as one app: `npm run examples`. */
import { registerApp } from 'longhaul';
import { createCatalogue } from './catalogue.ts';
import type { Bank } from './order.ts';
import { registerProgressPage } from './progress-page.ts';

// A setting of one's own is read once, here: a missing one stops the app at its start.
const { EXAMPLE_API: api = 'http://127.0.0.1:9' } = process.env;

/** In place of a bank: says what would be asked of one. */
const bank: Bank = {
  async charge(item, { idempotencyKey }) {
    return { id: `${item}, ${idempotencyKey}` };
  },
  async refund(charge) {
    process.stdout.write(`refunded: ${charge}\n`);
  },
};

registerApp(createCatalogue({ bank, api }), {
  topology: new URL('../../topology.json', import.meta.url),
});
registerProgressPage();
