/** An image in several sizes: a job that runs another type, `thumbnail`, once for each, side by side. */
import { defineJob } from 'longhaul';
import { z } from 'zod';
import { thumbnail } from '../functions/jobs/thumbnail.ts';

export const thumbnails = defineJob({
  type: 'thumbnails',
  input: z.object({
    /** In base64. */
    image: z.base64().min(1),
    widths: z.array(z.int().min(1).max(4096)).min(1).max(20),
  }),
  // The same image in the same sizes is made once a day, whoever asks.
  unique: { until: 'expiry' },
  keep: '1d',
  async run({ image, widths }, job) {
    const made = await job.children(
      'sizes',
      widths.map((width) => thumbnail.with({ image, width, format: 'webp' })),
    );
    return { sizes: made.map(({ width, height, file }) => ({ width, height, bytes: file.bytes })) };
  },
});
