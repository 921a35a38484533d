"""Loop nest -> LLVM IR -> object code -> disk cache -> callable."""
