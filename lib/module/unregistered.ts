import type { FactoryProvider, InjectionToken } from '@nestjs/common';
import { InvalidOptionsError } from '../core/errors.js';

/**
 * For a module that is nothing without its options: stands under the token that `register` provides, and so fails the start
 * where the module is imported without it.
 */
export function unregistered(token: InjectionToken, module: string): FactoryProvider {
  return {
    provide: token,
    useFactory: () => {
      const message = `By itself it does nothing: import ${module}.register().`;
      throw new InvalidOptionsError([{ where: module, message }]);
    },
  };
}
