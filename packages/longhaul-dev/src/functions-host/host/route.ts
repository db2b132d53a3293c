/** Route templates of HTTP triggers: `jobs/{id}`, `files/{*path}`, `{n:int}`, `{name?}`. */

export interface Route {
  methods: readonly string[];
  /** The captured parameters, or undefined when the path does not match. */
  match(path: string): Record<string, string> | undefined;
  /** Literal parts come before parameters, parameters before a catch-all. */
  weight: string;
}

/** As it came where it cannot be decoded: the app says what is wrong with it. */
function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

const constraints: Record<string, string> = {
  int: '-?\\d+',
  long: '-?\\d+',
  bool: 'true|false',
  guid: '[0-9a-fA-F-]{36}',
  alpha: '[A-Za-z]+',
};

export function compileRoute(template: string, methods: readonly string[]): Route {
  const parts = template.split('/').filter(Boolean);
  const names: string[] = [];
  let pattern = '^';
  let weight = '';
  for (const part of parts) {
    const parameter = /^\{(\*?)(\w+)(?::(\w+))?(\?)?\}$/.exec(part);
    if (!parameter) {
      pattern += `/${part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`;
      weight += '0';
      continue;
    }
    const [, star, name = '', constraint, optional] = parameter;
    names.push(name);
    const value = star ? '.*' : (constraints[constraint ?? ''] ?? '[^/]+');
    pattern += star || optional ? `(?:/(${value}))?` : `/(${value})`;
    weight += star ? '2' : '1';
  }
  const expression = new RegExp(`${pattern}/?$`, 'i');
  return {
    methods,
    weight,
    match(path) {
      const found = expression.exec(path);
      if (!found) return undefined;
      const captured = names.map((name, i) => [name, found[i + 1]] as const);
      return Object.fromEntries(
        captured.flatMap(([name, value]) =>
          value === undefined ? [] : [[name, decoded(value)] as const],
        ),
      );
    },
  };
}
