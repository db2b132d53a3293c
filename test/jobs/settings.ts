/** The settings of this app's own, checked at its start. */
import { z } from 'zod';

const schema = z.object({
  MAIL_URL: z.url(),
  MAIL_KEY: z.string().min(20),
  MAIL_SENDER: z.string().default('Longhaul'),
});

/** @throws Error that names each setting that is missing or wrong */
export function readSettings(environment: Record<string, string | undefined>) {
  const read = schema.safeParse(environment);
  if (read.success) return read.data;
  throw new Error(`The app cannot start:\n${z.prettifyError(read.error)}`);
}
