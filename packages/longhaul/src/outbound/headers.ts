/** Headers that somebody gives us for a call of ours. */
import { z } from 'zod';

// What the connection itself says, or by what a server tells apart who is meant.
const ours = [
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'te',
  'trailer',
];

/** RFC 9110, 5.1 and 5.5. */
export const headersSchema = z.record(
  z
    .string()
    .max(128)
    .regex(/^[\w!#$%&'*+.^`|~-]+$/, 'is no name of a header')
    .refine((name) => !ours.includes(name.toLowerCase()), 'is set by the call itself'),
  z
    .string()
    .max(8_192)
    .regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'holds characters that no header has'),
);
