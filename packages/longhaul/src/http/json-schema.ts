/** Standard JSON Schema (2020-12), where the schema library offers it; undefined where it cannot say it. */
export function jsonSchema(schema: unknown, side: 'input' | 'output'): unknown {
  const { jsonSchema: convert } = (
    schema as {
      '~standard': { jsonSchema?: Record<typeof side, (options: { target: string }) => unknown> };
    }
  )['~standard'];
  try {
    return convert?.[side]({ target: 'draft-2020-12' });
  } catch {
    return undefined;
  }
}
