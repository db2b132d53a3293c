/** Before it is packed: what the template has in common with the top of the repository is taken from there. */
import { cp } from 'node:fs/promises';
import { shared } from './template.ts';

const root = new URL('../../../', import.meta.url);
const template = new URL('../template/', import.meta.url);
for (const name of shared)
  await cp(new URL(name, root), new URL(name, template), { recursive: true });
