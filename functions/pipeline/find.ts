import { JobNotFoundError } from '../errors.ts';
import type { Records, Stored } from './ports.ts';

/** @throws JobNotFoundError */
export async function find({ records }: { records: Records }, id: string): Promise<Stored> {
  const stored = await records.read(id);
  if (!stored) throw new JobNotFoundError(id);
  return stored;
}
