// The package's own types are its TypeScript sources, which do not compile in a strict project.
export {};
