/**
 * An import with children: the rows of a file in parts, ten at once on any worker. A part that fails for
 * good does not stop the others (`childrenSettled`), and a row that is wrong is told, not thrown.
 */
import { parse } from 'csv-parse/sync';
import { defineJob, NonRetryableError } from 'longhaul';
import { z } from 'zod';

const product = z.object({
  sku: z.string().regex(/^[A-Z]{2}-\d+$/, 'is no SKU such as AB-12'),
  price: z.coerce.number().positive(),
});

export const importPart = defineJob({
  type: 'import.part',
  input: z.object({
    /** The number of its first row. */
    from: z.int(),
    rows: z.array(z.record(z.string(), z.string())),
  }),
  lane: 'bulk',
  async run({ from, rows }, job) {
    const refused: { row: number; why: string }[] = [];
    const products: z.output<typeof product>[] = [];
    for (const [at, row] of rows.entries()) {
      const read = product.safeParse(row);
      if (read.success) products.push(read.data);
      else refused.push({ row: from + at, why: z.prettifyError(read.error) });
    }
    // In place of a database: written by SKU, so that a second time changes nothing.
    const { bytes } = await job.files.write(`products-${from}.json`, JSON.stringify(products));
    job.log(
      `rows from ${from}: ${products.length} kept (${bytes} bytes), ${refused.length} refused`,
    );
    return { imported: products.length, refused };
  },
});

export const importProducts = defineJob({
  type: 'import',
  input: z.object({
    /** The name of a blob in the container `inbox`: CSV with the columns sku and price. */
    blob: z.string(),
    rowsInPart: z.int().min(1).default(500),
  }),
  lane: 'bulk',
  async run({ blob, rowsInPart }, job) {
    const text = (await job.files.readInbox(blob)).toString('utf8');
    const rows = parse(text, { columns: true, skip_empty_lines: true }) as Record<string, string>[];
    if (rows.length === 0) throw new NonRetryableError(`${blob} has no rows.`);
    const parts = [];
    for (let from = 0; from < rows.length; from += rowsInPart)
      parts.push(importPart.with({ from, rows: rows.slice(from, from + rowsInPart) }));
    // While they run this job waits and holds no worker; its progress is their count.
    const ended = await job.childrenSettled('parts', parts, { limit: 10 });
    const results = ended.flatMap((part) => (part.ok ? [part.result] : []));
    return {
      imported: results.reduce((sum, { imported }) => sum + imported, 0),
      refused: results.flatMap(({ refused }) => refused),
      failedParts: ended.length - results.length,
    };
  },
});
