/** A line for who called the command. */
export const say = (line: string): void => void process.stdout.write(`${line}\n`);
