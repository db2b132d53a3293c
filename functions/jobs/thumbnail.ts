/** A smaller copy of an image. Small jobs need little: an input schema and a `run`. */

import { defineJob, NonRetryableError } from 'longhaul';
import { z } from 'zod';

export const thumbnail = defineJob({
  type: 'thumbnail',
  input: z
    .strictObject({
      /** The image in base64 … */
      image: z.base64().min(1).optional(),
      /** … or the name of a blob in the container `inbox`. */
      blob: z.string().min(1).max(1024).optional(),
      width: z.int().min(1).max(4096),
      /** Default: as the image's proportions give it. */
      height: z.int().min(1).max(4096).optional(),
      format: z.enum(['jpeg', 'png', 'webp']).default('jpeg'),
    })
    .refine(({ image, blob }) => (image === undefined) !== (blob === undefined), {
      path: ['image'],
      error: 'give either image or blob',
    }),
  output: z.object({
    file: z.object({ name: z.string(), bytes: z.number() }),
    width: z.number(),
    height: z.number(),
  }),
  lane: 'urgent',
  timeout: '1m',
  attempts: 3,

  async run({ image, blob, width, height, format }, job) {
    // Loaded with the first image: its native library would slow every start of the app.
    const { default: sharp } = await import('sharp');
    const original = image ? Buffer.from(image, 'base64') : await job.files.readInbox(blob ?? '');
    const size = { width, ...(height ? { height } : {}), withoutEnlargement: true };
    try {
      // `rotate` without an angle turns the picture as its EXIF data says.
      const { data, info } = await sharp(original)
        .rotate()
        .resize(size)
        .toFormat(format)
        .toBuffer({ resolveWithObject: true });
      const file = await job.files.write(`thumbnail.${format}`, data, `image/${format}`);
      return { file, width: info.width, height: info.height };
    } catch (cause) {
      if (!/unsupported image format|corrupt|premature end/i.test((cause as Error).message))
        throw cause;
      throw new NonRetryableError(
        `This is no image that can be read: ${(cause as Error).message}`,
        {
          cause,
        },
      );
    }
  },
});
